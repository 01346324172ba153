"""Korean text before it is analysed: normalising, utterances, transcripts as plain text."""
