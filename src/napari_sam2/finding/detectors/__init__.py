"""General detectors: words to boxes on one picture.

Experimental. None comes with this package or is fetched by it: a person names the folder of one.
"""
