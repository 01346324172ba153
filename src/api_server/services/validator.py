"""The validator where the original request has it; see :mod:`api_server.compliance.validator`."""

from api_server.compliance.validator import (
    IncompleteElementsValidator,
    ValidationResult,
    get_incomplete_elements_validator,
)

__all__ = ["IncompleteElementsValidator", "ValidationResult", "get_incomplete_elements_validator"]
