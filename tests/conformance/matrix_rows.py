"""All rows of the dialect matrix, in the order the documentation shows them."""

from collections.abc import Mapping

from tests.conformance.matrix_cells import Ask, Tell
from tests.conformance.matrix_endings import ACCOUNTS, STOPS
from tests.conformance.matrix_media import MEDIA
from tests.conformance.matrix_messages import CONVERSATIONS
from tests.conformance.matrix_reasoning import REASONING, SIGNATURES
from tests.conformance.matrix_replies import CONTENT, THOUGHTS
from tests.conformance.matrix_sampling import FORMS, KNOBS, TERMS
from tests.conformance.matrix_tools import TOOLS

REQUESTS: Mapping[str, list[Ask]] = {
    "Conversations": CONVERSATIONS,
    "Tools": [*TOOLS, *SIGNATURES],
    "Media": MEDIA,
    "Reasoning": REASONING,
    "Sampling": KNOBS,
    "Form of the answer": FORMS,
    "Terms of the call": TERMS,
}
REPLIES: Mapping[str, list[Tell]] = {
    "Content": CONTENT,
    "Thoughts": THOUGHTS,
    "Reasons to stop": STOPS,
    "Accounts": ACCOUNTS,
}
ASKS = [row for rows in REQUESTS.values() for row in rows]
TELLS = [row for rows in REPLIES.values() for row in rows]
ROWS: list[Ask | Tell] = [*ASKS, *TELLS]
