"""Photos with questions and answers, in the field's own files."""
