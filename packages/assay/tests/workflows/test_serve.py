import os
import subprocess
import sys
from pathlib import Path

from scenario.project import SOURCE
from workflows.github import REPOSITORY
from workflows.serve import HEAD, HOW, serving

TOOLS = SOURCE / "packages/assay/tests/workflows/tools"


def test_what_is_printed_can_be_typed_and_cml_posts_over_tls(tmp_path: Path):
    with serving(tmp_path) as (hub, certificate, token):
        how = HOW.format(
            folder=tmp_path, certificate=certificate, token=token, repository=REPOSITORY, url=hub.url, head=HEAD
        )
        for _ in range(2):
            subprocess.run(
                ["bash", "-eu", "-c", how],
                check=True,
                env={
                    "PATH": os.pathsep.join([str(TOOLS), str(Path(sys.executable).parent), os.environ["PATH"]]),
                    # What a stand-in of CML has to be told, and CML finds out.
                    "GITHUB_API_URL": f"{hub.url}/api/v3",
                    "SSL_CERT_FILE": str(certificate),
                },
            )
        assert len(hub.reports(4)) == 1
        assert hub.reports(4)[0].startswith("## A report\n")
        assert hub.violations == []
        assert all(call.partition(" ")[2].startswith(("/users/ann", f"/repos/{REPOSITORY}/")) for call in hub.calls)
