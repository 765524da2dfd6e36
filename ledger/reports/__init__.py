"""Read-only views of the books, one module a business."""
