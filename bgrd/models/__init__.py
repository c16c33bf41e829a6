"""What differs between models is a row; what runs them is one session."""
