"""One script for each question; results/ holds what they measured, with machine, versions and command."""
