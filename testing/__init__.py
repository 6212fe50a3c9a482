"""For the tests of agents: a pytest fixture with a real server and scripted models."""
