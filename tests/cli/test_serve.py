"""`serve`: which options go together."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubewitness.cli import main
from kubewitness.cli.serve import tls_of


@pytest.mark.parametrize("flag", ["--tls-cert", "--tls-key"])
def test_a_certificate_without_its_key_or_a_key_without_its_certificate_is_refused(
    flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "store").mkdir()
    assert main(["serve", "--state", str(tmp_path), flag, "file"]) == 2
    assert "--tls-cert and --tls-key" in capsys.readouterr().err


def test_files_are_called_in_errors_as_they_were_given() -> None:
    files = tls_of("tls.crt", "tls.key", "--serve-tls")
    assert files is not None
    assert (files.crt_file, files.key_file) == ("tls.crt", "tls.key")
    assert files.said == "--serve-tls-cert tls.crt or --serve-tls-key tls.key"
