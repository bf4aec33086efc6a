"""What every error message has to be."""

import re

MAX_LENGTH = 600


def faults(message, names=(), may_say_none=False):
    """What is bad about an error message, as a list of words; empty for a good one.

    Args:
        message: The text of the error.
        names: Paths and other long names in the message that do not count.
        may_say_none: Whether None was given, and the message may say so.
    """
    for name in names:
        message = message.replace(str(name), "FILE")
    # A sentence ends with a mark, or with the line.
    sentences = re.split(r"(?<=[.?!)])\s+(?=[A-Z('\[{`\"\d])|\n", message.strip())
    rules = {
        "has not three parts (what is wrong, what came, what to do)": len(sentences) < 3,
        "does not say what came": not re.search(r"\b(Given:|Found\b)", message),
        "begins with what came": re.match(r"(Given|Found)\b", message) is not None,
        "ends with what came": re.match(r"(Given|Found)\b", sentences[-1]) is not None,
        f"is longer than {MAX_LENGTH} characters": len(message) > MAX_LENGTH,
        "holds a traceback": "Traceback" in message or 'File "' in message,
        "dumps an object": re.search(r"array\(\[|object at 0x|<bound method|<class '|<function", message) is not None,
        "says None": re.search(r"(Given:|Found) None\b", message) is not None and not may_say_none,
    }
    return [rule for rule, broken in rules.items() if broken]


def raw_words(message):
    """Words of an exception of Python, or of another library, that a message hands on."""
    return re.findall(
        r"\b[A-Z]\w*(?:Error|Exception|Warning)\b|Errno|'\w+' object\b|[Ii]nput should|pydantic|expected value at|"
        r"invalid literal|not subscriptable|unhashable|unexpected keyword|allow_pickle|codec can't",
        message,
    )
