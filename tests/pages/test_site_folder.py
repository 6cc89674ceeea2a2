"""`report --site`: a folder that appears whole or not at all, and replaces only what the command wrote itself."""

import json
from pathlib import Path

import pytest

from hstu_preserve.cli.main import main
from hstu_preserve.errors import UnavailableError, UsageError
from hstu_preserve.library.catalog import read_catalog
from hstu_preserve.pages import extra
from hstu_preserve.pages.site.folder import LIST_NAME, SitePlace, prepare_site

FILES = {"index.html": b"first", "results/one.html": b"page"}
Capture = pytest.CaptureFixture[str]


def place(path: Path) -> SitePlace:
    found = prepare_site(path)
    assert found is not None
    return found


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    assert place(folder).write(FILES)
    return folder


def list_files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_site_appears_with_the_list_of_its_files(site: Path) -> None:
    found = list_files(site)
    assert json.loads(found.pop(LIST_NAME))["site"].keys() == FILES.keys()
    assert found == FILES
    assert [path.name for path in site.parent.iterdir()] == ["site"]


def test_an_earlier_site_is_replaced_with_everything_in_it(site: Path) -> None:
    assert place(site).write({"index.html": b"second"})
    assert set(list_files(site)) == {"index.html", LIST_NAME}
    assert not place(site).write({"index.html": b"second"})
    assert [path.name for path in site.parent.iterdir()] == ["site"]


@pytest.mark.parametrize("name", ["CNAME", ".git/HEAD", "results/two.html"])
def test_a_file_that_was_added_keeps_the_folder(name: str, site: Path) -> None:
    (site / name).parent.mkdir(exist_ok=True)
    (site / name).write_text("mine")
    with pytest.raises(UsageError, match=f"{name} was added"):
        prepare_site(site)
    assert (site / name).read_text() == "mine"


def test_a_file_that_was_changed_or_removed_keeps_the_folder(site: Path) -> None:
    (site / "index.html").write_text("mine")
    with pytest.raises(UsageError, match=r"index\.html was changed"):
        prepare_site(site)
    (site / "index.html").unlink()
    with pytest.raises(UsageError, match=r"index\.html is gone"):
        prepare_site(site)


@pytest.mark.parametrize(
    "listed", ["", "{}", "[]", '{"site":{"../outside":"' + "0" * 64 + '"}}', '{"site":{"index.html":1}}']
)
def test_a_folder_with_a_forged_list_is_not_replaced(listed: str, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "outside").write_text("mine")
    (tmp_path / "site" / LIST_NAME).write_text(listed)
    with pytest.raises(UsageError):
        prepare_site(tmp_path / "site")


def test_other_folders_links_and_files_are_refused(site: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(site)
    (tmp_path / "file").write_text("mine")
    for name in ("empty", "link", "file"):
        with pytest.raises(UsageError, match="no site that this command wrote"):
            prepare_site(tmp_path / name)


def test_a_link_in_the_place_of_a_page_is_no_page(site: Path, tmp_path: Path) -> None:
    (tmp_path / "same").write_bytes(FILES["index.html"])
    (site / "index.html").unlink()
    (site / "index.html").symlink_to(tmp_path / "same")
    with pytest.raises(UsageError, match=r"index\.html was changed"):
        prepare_site(site)


def test_what_cannot_be_written_leaves_the_earlier_site(site: Path) -> None:
    with pytest.raises(UnavailableError):
        place(site).write({"index.html": b"second", "x" * 300: b""})
    assert list_files(site)["index.html"] == b"first"
    assert [path.name for path in site.parent.iterdir()] == ["site"]


def test_a_site_that_cannot_take_its_name_leaves_the_earlier_one_its_own(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(own: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(UnavailableError, match="No space left"):
        place(site).write({"index.html": b"second"})
    assert list_files(site)["index.html"] == b"first"
    assert [path.name for path in site.parent.iterdir()] == ["site"]


def test_what_changed_meanwhile_is_left_as_it_is(site: Path, tmp_path: Path) -> None:
    before = place(site)
    (site / "index.html").write_text("mine")
    with pytest.raises(UsageError, match="not as this command wrote it"):
        before.write({"index.html": b"second"})
    assert (site / "index.html").read_text() == "mine"
    new = place(tmp_path / "new")
    (tmp_path / "new").mkdir()
    with pytest.raises(UsageError, match="came into being meanwhile"):
        new.write(FILES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "site"]


def test_the_command_writes_a_site_of_the_catalog_and_judges_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", "--site", "site", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["site"], said["experiments"], said["reproduced"]) == ("site", len(read_catalog()), 0)
    assert len(list_files(tmp_path / "site")) == len(read_catalog()) + 2
    assert main(["report", "--site", "site"]) == 0
    assert f"{len(read_catalog())} experiments, 0 reproduced here (unchanged)" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["site"]  # and no Markdown
    assert main(["report", "--site", "site", "--html", "site/page.html"]) == 2
    assert "site/page.html: lies in the folder that --site names" in capsys.readouterr().err
    (tmp_path / "site" / "mine.txt").write_text("mine")
    assert main(["report", "--site", "site"]) == 2
    assert "mine.txt was added" in capsys.readouterr().err


def test_without_the_extra_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture
) -> None:
    monkeypatch.setattr(extra, "PACKAGES", ("a_package_that_nobody_has",))
    assert main(["report", "--site", str(tmp_path / "site")]) == 4
    assert "--site: a_package_that_nobody_has not installed" in capsys.readouterr().err
