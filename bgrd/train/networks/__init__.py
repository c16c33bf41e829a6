"""The networks `bgrd train` knows: what differs between them is a row, what they are made of is a few parts."""
