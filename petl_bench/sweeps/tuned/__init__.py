"""After a search: its winners beside the card as it is, under seeds that the search did not use, as a page."""
