"""The same job on other libraries, each as its own documentation would have it."""
