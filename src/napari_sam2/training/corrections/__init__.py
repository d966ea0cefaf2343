"""Training of what answers clicks on carried objects: simulated clicks on wrong masks of labelled scans."""
