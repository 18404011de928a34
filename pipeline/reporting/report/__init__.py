"""The page of the stage `report`: what a run has reached, and where it errs."""
