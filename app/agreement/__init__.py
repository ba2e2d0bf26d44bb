"""What Agreement and Adjudication show."""
