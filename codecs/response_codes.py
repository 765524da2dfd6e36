"""DE39 of the terminal interface: one enum, and what each code says in English and Chinese.

Which code to give is for the switch to decide. What a bank or an order system answers is not of
this enum until somebody has decided what it means here.
Source: docs/interfaces/terminal.md, part 4, "Response codes".
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

Language = Literal["en", "zh"]


class ResponseCode(StrEnum):
    """Two characters each; equal to their text, so that one from a message can be compared."""

    APPROVED = "00"
    REFER_TO_ISSUER = "01"
    INVALID_MERCHANT = "03"
    CAPTURE_CARD = "04"
    NOT_HONOURED = "05"
    ERROR = "06"
    APPROVED_IN_PART = "10"
    INVALID_TRANSACTION = "12"
    INVALID_AMOUNT = "13"
    INVALID_CARD = "14"
    NO_SUCH_ISSUER = "15"
    NO_ORIGINAL = "25"
    FORMAT_ERROR = "30"
    FRAUD = "34"
    PIN_TRIES_EXCEEDED = "38"
    NOT_SUPPORTED = "40"
    LOST_CARD = "41"
    STOLEN_CARD = "43"
    USE_CHIP = "45"
    INSUFFICIENT_FUNDS = "51"
    EXPIRED_CARD = "54"
    WRONG_PIN = "55"
    NOT_PERMITTED_TO_CARD = "57"
    NOT_PERMITTED_TO_TERMINAL = "58"
    OVER_AMOUNT_LIMIT = "61"
    RESTRICTED = "62"
    AMOUNT_DIFFERS = "64"
    OVER_COUNT_LIMIT = "65"
    ISSUER_TIME_OUT = "68"
    PASSWORD_TRIES_EXCEEDED = "75"
    SIGN_ON_AGAIN = "77"
    CUT_OVER = "90"
    UNAVAILABLE = "91"
    NO_ROUTE = "92"
    DUPLICATE = "94"
    SWITCH_FAULT = "96"
    UNKNOWN_TERMINAL = "97"
    NO_ANSWER = "98"
    PIN_FORMAT = "99"
    MAC_ERROR = "A0"
    SECURITY_FAILED = "A7"


# With which a terminal takes a payment as made.
APPROVING = frozenset({ResponseCode.APPROVED, ResponseCode.APPROVED_IN_PART})

_TEXTS: Mapping[ResponseCode, tuple[str, str]] = MappingProxyType(
    {
        ResponseCode.APPROVED: ("approved", "交易成功"),
        ResponseCode.REFER_TO_ISSUER: ("refer to the issuer", "请联系发卡行"),
        ResponseCode.INVALID_MERCHANT: ("invalid merchant", "无效商户"),
        ResponseCode.CAPTURE_CARD: ("capture the card", "请没收卡片"),
        ResponseCode.NOT_HONOURED: ("not honoured", "交易不予承兑"),
        ResponseCode.ERROR: ("error", "交易出错"),
        ResponseCode.APPROVED_IN_PART: ("approved in part", "部分金额批准"),
        ResponseCode.INVALID_TRANSACTION: ("invalid transaction", "无效交易"),
        ResponseCode.INVALID_AMOUNT: ("invalid amount", "无效金额"),
        ResponseCode.INVALID_CARD: ("invalid card", "无效卡号"),
        ResponseCode.NO_SUCH_ISSUER: ("no such issuer", "无此发卡行"),
        ResponseCode.NO_ORIGINAL: ("no such original or order", "未找到原交易或订单"),
        ResponseCode.FORMAT_ERROR: ("format error", "报文格式错误"),
        ResponseCode.FRAUD: ("suspected fraud", "有作弊嫌疑"),
        ResponseCode.PIN_TRIES_EXCEEDED: ("PIN tries exceeded", "密码错误次数超限"),
        ResponseCode.NOT_SUPPORTED: ("not supported", "不支持的交易"),
        ResponseCode.LOST_CARD: ("lost card", "挂失卡"),
        ResponseCode.STOLEN_CARD: ("stolen card", "被窃卡"),
        ResponseCode.USE_CHIP: ("use the chip", "请使用芯片"),
        ResponseCode.INSUFFICIENT_FUNDS: ("insufficient funds", "余额不足"),
        ResponseCode.EXPIRED_CARD: ("expired card", "卡片已过期"),
        ResponseCode.WRONG_PIN: ("wrong PIN", "密码错误"),
        ResponseCode.NOT_PERMITTED_TO_CARD: ("not permitted to this card", "此卡不允许该交易"),
        ResponseCode.NOT_PERMITTED_TO_TERMINAL: (
            "not permitted to this terminal",
            "此终端不允许该交易",
        ),
        ResponseCode.OVER_AMOUNT_LIMIT: ("over the amount limit", "金额超限"),
        ResponseCode.RESTRICTED: ("restricted, frozen or not active", "受限、冻结或未激活"),
        ResponseCode.AMOUNT_DIFFERS: ("amount differs", "金额不符"),
        ResponseCode.OVER_COUNT_LIMIT: ("over the count limit", "次数超限"),
        ResponseCode.ISSUER_TIME_OUT: ("issuer timed out", "发卡行超时"),
        ResponseCode.PASSWORD_TRIES_EXCEEDED: ("PIN tries exceeded", "密码错误次数超限"),
        ResponseCode.SIGN_ON_AGAIN: ("sign on again", "请重新签到"),
        ResponseCode.CUT_OVER: ("cut-over in progress", "日切处理中"),
        ResponseCode.UNAVAILABLE: ("issuer or order system unavailable", "发卡行或订单系统不可用"),
        ResponseCode.NO_ROUTE: ("no route to the issuer", "无路由到发卡行"),
        ResponseCode.DUPLICATE: ("duplicate", "重复交易"),
        ResponseCode.SWITCH_FAULT: ("switch fault", "系统异常"),
        ResponseCode.UNKNOWN_TERMINAL: ("unknown terminal", "终端未登记"),
        ResponseCode.NO_ANSWER: ("no answer from the issuer", "发卡行未应答"),
        ResponseCode.PIN_FORMAT: ("PIN format error", "密码格式错误"),
        ResponseCode.MAC_ERROR: ("MAC error", "MAC校验错误"),
        ResponseCode.SECURITY_FAILED: ("security processing failed", "安全处理失败"),
    }
)
_UNKNOWN = ("code not in the interface", "未定义的应答码")


def in_words(code: str, language: Language = "en") -> str:
    """What a response code says, or that it is not of the interface.

    >>> in_words("51"), in_words("51", "zh"), in_words("ZZ")
    ('insufficient funds', '余额不足', 'code not in the interface')
    """
    place = 0 if language == "en" else 1
    try:
        return _TEXTS[ResponseCode(code)][place]
    except ValueError:
        return _UNKNOWN[place]


def is_code(text: str) -> bool:
    """Whether a text has the shape of a code or a reason (DE39): two ASCII letters or digits.

    >>> is_code("A0"), is_code("0"), is_code("é0"), is_code("- ")
    (True, False, False, False)
    """
    return len(text) == 2 and text.isascii() and text.isalnum()
