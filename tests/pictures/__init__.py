"""Pictures and models that tests are made of, all of them made by code."""
