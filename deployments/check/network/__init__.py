"""Who must talk to whom in a cluster is let through by its network policies, and nothing else.

What a pod must reach is derived from what it runs: its command and environment, the deployments,
the blocks that these spend and the automations that tell people. A policy that knows only itself
cannot contradict them unnoticed.
"""

from deployments.check.network.manifests import OVERLAYS, Cluster, render
from deployments.check.network.verdict import cluster_of, network_problems, overlay_problems

__all__ = ["OVERLAYS", "Cluster", "cluster_of", "network_problems", "overlay_problems", "render"]
