"""What the data set is like, told before anything is modelled."""
