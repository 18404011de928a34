"""Pages and pictures that show what came out."""
