"""The napari plugin: reader, writer, sample data and the dock widget."""
