"""The endpoints shaped like Google's Gemini API."""
