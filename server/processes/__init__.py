"""Starting and ending: one process or several that share a port."""
