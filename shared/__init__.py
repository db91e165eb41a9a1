"""What more than one role of a federation uses, one room per folder."""
