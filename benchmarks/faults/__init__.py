"""What do clients of the Kubernetes API do when it fails? The same faults for each; the page is docs/faults.md."""
