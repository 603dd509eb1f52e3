"""ERP adapters behind one port: `port.py` is all that the rest of the platform knows of any ERP."""
