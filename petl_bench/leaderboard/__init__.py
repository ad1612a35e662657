"""What came out: tables from records. Free of torch."""
