"""The main job in 20 seconds: README.md beside this file says what is seen."""
