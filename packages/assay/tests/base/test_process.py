import pytest

from assay.base.errors import InputError
from assay.base.process import run


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("first\\ndenied", "denied"),
        ("docker: no such image\\n\\nRun 'docker run --help' for more information", "docker: no such image"),
        ("", "exit status 3"),
    ],
)
def test_a_program_that_fails_is_told_of_in_one_line(said: str, told: str) -> None:
    script = f'printf "{said}" >&2; exit 3'
    with pytest.raises(InputError) as caught:
        run("sh", "-c", script)
    assert str(caught.value) == f"sh -c: {told}"


def test_what_a_program_prints_is_returned() -> None:
    assert run("echo", "a", "b") == "a b\n"
