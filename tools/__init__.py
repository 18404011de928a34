"""Programs for those who maintain the repository; nothing here is part of the pipeline."""
