"""The dialect matrix: pictures, documents, sound, and marks on content."""

from tests.conformance.matrix_cells import (
    CHAT,
    GEMINI,
    ITS_PLACES,
    MESSAGES,
    RESPONSES,
    Ask,
    Carried,
    Refused,
    asks,
    clients,
    upstreams,
)
from tests.conformance.matrix_wire import (
    A_DATA_IMAGE,
    A_FILE,
    A_FILE_BY_URL,
    A_IMAGE,
    G_DATA_IMAGE,
    G_FILE,
    HOUR,
    IMAGE_URL,
    O_AUDIO,
    O_DATA_IMAGE,
    O_FILE,
    O_IMAGE,
    PDF,
    PDF_URL,
    R_DATA_IMAGE,
    R_FILE,
    R_IMAGE,
    TEXT_ALONE,
    WAV,
    Wire,
    g_text,
    g_turns,
    g_user,
    r_items,
    r_text,
    r_user,
    text,
    turns,
    user,
)

FETCHED = "fetched by the gateway, and sent as its content"
NO_AUDIO = "no audio"
G_AUDIO = {"inlineData": {"mimeType": "audio/wav", "data": WAV}}
FILM = {"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}}


def in_detail(image: Wire) -> Wire:
    return {**image, "image_url": {**image["image_url"], "detail": "low"}}


MEDIA = [
    Ask(
        "image by URL",
        clients(
            chat=turns(user(text("a"), O_IMAGE)),
            responses=r_items(r_user(r_text("a"), R_IMAGE)),
            messages=turns(user(text("a"), A_IMAGE)),
            gemini=g_turns(
                g_user(g_text("a"), {"fileData": {"fileUri": IMAGE_URL, "mimeType": "image/png"}})
            ),
            text=TEXT_ALONE,
        ),
        upstreams(
            chat=turns(user(text("a"), O_IMAGE)),
            responses=r_items(r_user(r_text("a"), R_IMAGE)),
            messages=turns(user(text("a"), A_IMAGE)),
            gemini=Carried(g_turns(g_user(g_text("a"), G_DATA_IMAGE)), note=FETCHED),
        ),
    ),
    Ask(
        "image in base64",
        clients(
            chat=turns(user(text("a"), O_DATA_IMAGE)),
            responses=r_items(r_user(r_text("a"), R_DATA_IMAGE)),
            messages=turns(user(text("a"), A_DATA_IMAGE)),
            gemini=g_turns(g_user(g_text("a"), G_DATA_IMAGE)),
            text=TEXT_ALONE,
        ),
        upstreams(
            chat=turns(user(text("a"), O_DATA_IMAGE)),
            responses=r_items(r_user(r_text("a"), R_DATA_IMAGE)),
            messages=turns(user(text("a"), A_DATA_IMAGE)),
            gemini=g_turns(g_user(g_text("a"), G_DATA_IMAGE)),
        ),
    ),
    Ask(
        "image in a chosen detail",
        clients(
            chat=asks(turns(user(text("a"), in_detail(O_IMAGE))), "messages[0].content[1].detail"),
            responses=asks(
                r_items(r_user(r_text("a"), {**R_IMAGE, "detail": "low"})),
                "input[0].content[1].detail",
            ),
            messages="images have no such knob",
            gemini="images have no such knob",
            text=TEXT_ALONE,
        ),
        upstreams(
            chat=turns(user(text("a"), in_detail(O_IMAGE))),
            responses=r_items(r_user(r_text("a"), {**R_IMAGE, "detail": "low"})),
            messages=Carried(turns(user(text("a"), A_IMAGE)), ITS_PLACES),
            gemini=Carried(g_turns(g_user(g_text("a"), G_DATA_IMAGE)), ITS_PLACES),
        ),
    ),
    Ask(
        "PDF in base64",
        clients(
            chat=turns(user(text("a"), O_FILE)),
            responses=r_items(r_user(r_text("a"), R_FILE)),
            messages=turns(user(text("a"), A_FILE)),
            gemini=g_turns(g_user(g_text("a"), G_FILE)),
            text=TEXT_ALONE,
        ),
        upstreams(
            chat=turns(user(text("a"), O_FILE)),
            responses=r_items(r_user(r_text("a"), R_FILE)),
            messages=turns(user(text("a"), A_FILE)),
            gemini=g_turns(g_user(g_text("a"), G_FILE)),
        ),
        pairs={
            (GEMINI, CHAT): Carried(
                turns(user(text("a"), {"file": {"filename": "document.pdf"}})),
                note="under the name document.pdf",
            ),
            (GEMINI, RESPONSES): Carried(
                r_items(r_user(r_text("a"), {"filename": "document.pdf"})),
                note="under the name document.pdf",
            ),
            (GEMINI, MESSAGES): Carried(turns(user(text("a"), {"source": A_FILE["source"]}))),
        },
    ),
    Ask(
        "document by URL",
        clients(
            chat=turns(user({"type": "file", "file": {"file_data": PDF_URL}})),
            responses=r_items(r_user({"type": "input_file", "file_url": PDF_URL})),
            messages=turns(user(A_FILE_BY_URL)),
            gemini=g_turns(
                g_user({"fileData": {"fileUri": PDF_URL, "mimeType": "application/pdf"}})
            ),
            text=TEXT_ALONE,
        ),
        upstreams(
            chat=Carried(
                turns(user({"file": {"file_data": f"data:application/pdf;base64,{PDF}"}})),
                note=FETCHED,
            ),
            responses=r_items(r_user({"type": "input_file", "file_url": PDF_URL})),
            messages=turns(user(A_FILE_BY_URL)),
            gemini=Carried(g_turns(g_user(G_FILE)), note=FETCHED),
        ),
    ),
    Ask(
        "text document with citations",
        clients(
            chat="files are not cited",
            responses="files are not cited",
            messages=asks(
                turns(
                    user(
                        {
                            "type": "document",
                            "source": {"type": "text", "media_type": "text/plain", "data": "words"},
                            "title": "T",
                            "citations": {"enabled": True},
                        }
                    )
                ),
                "messages.0.content.0.citations",
            ),
            gemini="files are not cited",
            text=TEXT_ALONE,
        ),
        upstreams(
            chat=Carried(
                turns({"role": "user", "content": "T\n\nwords"}), ITS_PLACES, note="as text"
            ),
            responses=Carried(r_items(r_user(r_text("T\n\nwords"))), ITS_PLACES, note="as text"),
            gemini=Carried(g_turns(g_user(g_text("T\n\nwords"))), ITS_PLACES, note="as text"),
        ),
    ),
    Ask(
        "audio",
        clients(
            chat=asks(turns(user(O_AUDIO)), "messages[0].content[0]"),
            responses=asks(r_items(r_user(O_AUDIO)), "input[0].content[0]"),
            messages=NO_AUDIO,
            gemini=asks(g_turns(g_user(G_AUDIO)), "contents[0].parts[0]"),
            text=TEXT_ALONE,
        ),
        upstreams(
            chat=turns(user(O_AUDIO)),
            responses=r_items(r_user(O_AUDIO)),
            messages=Refused(),
            gemini=g_turns(g_user(G_AUDIO)),
        ),
    ),
    Ask(
        "film",
        clients(
            chat="no films",
            responses="no films",
            messages="no films",
            gemini=asks(g_turns(g_user(FILM)), "contents[0].parts[0]"),
            text=TEXT_ALONE,
        ),
        upstreams(chat=Refused(), responses=Refused(), messages=Refused()),
    ),
    Ask(
        "a file its vendor keeps",
        clients(
            chat=asks(
                turns(user({"type": "file", "file": {"file_id": "file-1"}})),
                "messages[0].content[0]",
            ),
            responses=asks(
                r_items(r_user({"type": "input_file", "file_id": "file-1"})),
                "input[0].content[0]",
            ),
            messages=asks(
                turns(user({"type": "document", "source": {"type": "file", "file_id": "file_1"}})),
                "messages.0.content.0",
            ),
            gemini=asks(
                g_turns(
                    g_user(
                        {
                            "fileData": {
                                "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/1",
                                "mimeType": "application/pdf",
                            }
                        }
                    )
                ),
                "contents[0].parts[0]",
            ),
            text=TEXT_ALONE,
        ),
        upstreams(chat=Refused(), responses=Refused(), messages=Refused(), gemini=Refused()),
        pairs={
            (CHAT, RESPONSES): Carried(
                r_items(r_user({"type": "input_file", "file_id": "file-1"}))
            ),
            (RESPONSES, CHAT): Carried(turns(user({"file": {"file_id": "file-1"}}))),
        },
    ),
    Ask(
        "a kind of content only the vendor knows",
        clients(
            chat=asks(turns(user({"type": "novelty", "novelty": {}})), "messages[0].content[0]"),
            responses=asks(
                r_items(r_user({"type": "novelty", "novelty": {}})), "input[0].content[0]"
            ),
            messages=asks(
                turns(user({"type": "search_result", "source": "s", "title": "t", "content": []})),
                "messages.0.content.0",
            ),
            gemini=asks(
                g_turns(g_user({"toolResponse": {"id": "t", "response": {}}})),
                "contents[0].parts[0]",
            ),
            text=TEXT_ALONE,
        ),
        upstreams(chat=Refused(), responses=Refused(), messages=Refused(), gemini=Refused()),
    ),
    Ask(
        "knobs of a part that only the vendor knows",
        clients(
            chat="parts have no such knobs",
            responses="parts have no such knobs",
            messages="parts have no such knobs",
            gemini=asks(
                g_turns(
                    g_user({**G_DATA_IMAGE, "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"}})
                ),
                "contents[0].parts[0].mediaResolution",
            ),
            text=TEXT_ALONE,
        ),
        upstreams(
            chat=Carried(turns(user(O_DATA_IMAGE)), ITS_PLACES),
            responses=Carried(r_items(r_user(R_DATA_IMAGE)), ITS_PLACES),
            messages=Carried(turns(user(A_DATA_IMAGE)), ITS_PLACES),
        ),
    ),
    Ask(
        "cache marks",
        clients(
            chat=asks(
                turns(user({**text("a"), "cache_control": HOUR})),
                "messages[0].content[0].cache_control",
            ),
            responses="caching is the vendor's own affair",
            messages=asks(
                turns(user({**text("a"), "cache_control": HOUR})),
                "messages.0.content.0.cache_control",
            ),
            gemini="caching is the vendor's own affair",
            text=TEXT_ALONE,
        ),
        upstreams(
            chat=Carried(turns({"role": "user", "content": "a"}), ITS_PLACES),
            responses=Carried(r_items(r_user(r_text("a"))), ITS_PLACES),
            messages=turns(user({**text("a"), "cache_control": HOUR})),
            gemini=Carried(g_turns(g_user(g_text("a"))), ITS_PLACES),
        ),
    ),
]
