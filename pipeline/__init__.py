"""The library of caption-pipeline: plain functions and data; knows no stage and no path."""

from pipeline.machine import prepare

prepare()
