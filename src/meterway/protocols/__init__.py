"""Pure codecs between wire dialects and the neutral form; no input or output happens here."""
