import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from deployments.local.paths import PROJECT_ROOT
from deployments.local.postgres import EmbeddedPostgres
from deployments.local.processes import free_ports, wait_until
from flows._shared.errors import PermanentError

FIRST_PORT = 26320


@pytest.fixture
def anew(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A cluster whose first start makes it."""
    own = EmbeddedPostgres(tmp_path / "postgres", first_port=FIRST_PORT, is_durable=False)
    yield own
    own.stop()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedPostgres:
    """A cluster that was made, and does not run."""
    folder = tmp_path_factory.mktemp("made") / "postgres"
    own = EmbeddedPostgres(folder, first_port=FIRST_PORT, is_durable=False).start()
    own.stop()
    return own


@pytest.fixture
def cluster(anew: EmbeddedPostgres, made: EmbeddedPostgres) -> EmbeddedPostgres:
    """A copy of one that was made: to make it takes longer than most that is done to it here."""
    shutil.copytree(made.cluster, anew.cluster)
    shutil.copy2(made.directory / "password", anew.directory)
    return anew


def answer(cluster: EmbeddedPostgres, query: str) -> object:
    with psycopg.connect(cluster.url()) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def test_it_is_version_18_with_pgvector_and_utc(anew: EmbeddedPostgres) -> None:
    anew.start()
    with psycopg.connect(anew.create_database("vectors")) as connection:
        connection.execute("create extension vector")
        distance = connection.execute("select '[1,2]'::vector <-> '[1,4]'::vector").fetchone()
    assert str(answer(anew, "show server_version")).startswith("18.")
    assert answer(anew, "show timezone") == "UTC"
    assert distance == (2.0,)


def test_fsync_is_on_unless_a_test_turns_it_off(tmp_path: Path, anew: EmbeddedPostgres) -> None:
    durable = EmbeddedPostgres(tmp_path / "durable", first_port=FIRST_PORT)
    try:
        assert answer(durable.start(), "show fsync") == "on"
    finally:
        durable.stop()
    assert answer(anew.start(), "show fsync") == "off"


def test_only_the_password_lets_in_and_only_the_owner_reads_it(anew: EmbeddedPostgres) -> None:
    anew.start()
    wrong = anew.url().replace(anew.password, "wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)
    mode = (anew.directory / "password").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_a_second_start_reuses_the_running_server(cluster: EmbeddedPostgres) -> None:
    first = cluster.start().pid
    second = EmbeddedPostgres(cluster.directory, first_port=FIRST_PORT).start().pid
    assert first is not None
    assert first == second


def test_a_server_that_runs_is_kept_whatever_the_shell_says_of_others(
    cluster: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = cluster.start().pid
    for name, value in {
        "PGSSLMODE": "require",
        "PGSSLROOTCERT": "/nowhere",
        "PGHOSTADDR": "192.0.2.1",
        "PGOPTIONS": "-c nothing=on -c nonsense",
        "PGCHANNELBINDING": "require",
        "PGGSSENCMODE": "require",
        "PGTARGETSESSIONATTRS": "standby",
        "PGREQUIREAUTH": "none",
        "PGCONNECT_TIMEOUT": "abc",
    }.items():
        with monkeypatch.context() as shell:
            shell.setenv(name, value)
            assert cluster.start().pid == pid, name
            cluster.drop_database(name.lower())
    with monkeypatch.context() as shell:
        shell.setenv("PGSERVICE", "nowhere")
        with pytest.raises(PermanentError, match=r"nowhere.*Unset PGSERVICE"):
            cluster.start()
    (cluster.directory / "password").write_text("changed")
    with pytest.raises(PermanentError, match=r"authentication failed.*Put back the file"):
        cluster.start()
    assert cluster.pid == pid


def test_two_starts_at_once_make_one_server(anew: EmbeddedPostgres) -> None:
    script = (
        "import sys; from pathlib import Path;"
        "from deployments.local.postgres import EmbeddedPostgres;"
        "print(EmbeddedPostgres(Path(sys.argv[1]), first_port=int(sys.argv[2]),"
        " is_durable=False).start().pid)"
    )
    command = [sys.executable, "-c", script, str(anew.directory), str(FIRST_PORT)]
    starters = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    pids = {starter.communicate(timeout=60)[0] for starter in starters}
    assert len(pids) == 1
    assert anew.is_running()


def test_a_killed_server_comes_back_with_its_committed_rows(cluster: EmbeddedPostgres) -> None:
    pid = cluster.start().pid
    with psycopg.connect(cluster.url()) as connection:
        connection.execute("create table kept as select 42 as answer")
    sleeper = psycopg.connect(cluster.url())
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert cluster.start().pid != pid
    assert answer(cluster, "select answer from kept") == 42
    sleeper.close()


class DiesOnceSeen(EmbeddedPostgres):
    """Kills the server that runs, once it has told that it is at work."""

    doomed: int | None = None

    def _postmaster(self) -> Any:
        seen = super()._postmaster()
        if seen and seen.process.pid == self.doomed:
            seen.process.kill()
            seen.process.wait(5.0)
        return seen


def test_a_server_that_dies_while_looked_at_is_started_anew(cluster: EmbeddedPostgres) -> None:
    pid = cluster.start().pid
    looking = DiesOnceSeen(cluster.directory, first_port=FIRST_PORT, is_durable=False)
    looking.doomed = pid
    assert looking.start().pid != pid
    assert answer(cluster, "select 1") == 1


def test_a_lock_file_naming_another_programs_pid_is_stale(cluster: EmbeddedPostgres) -> None:
    cluster.start()
    lines = (cluster.cluster / "postmaster.pid").read_text().splitlines()
    cluster.stop()
    stale = "\n".join([str(os.getpid()), *lines[1:]]) + "\n"
    (cluster.cluster / "postmaster.pid").write_text(stale)
    assert not cluster.is_running()
    assert answer(cluster.start(), "select 1") == 1


def test_a_half_made_cluster_is_made_anew(anew: EmbeddedPostgres) -> None:
    half = anew.directory / "cluster.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    assert answer(anew.start(), "select 1") == 1


def test_a_port_in_use_is_stepped_over(cluster: EmbeddedPostgres) -> None:
    taken = next(free_ports(FIRST_PORT))
    with socket.create_server(("127.0.0.1", taken)):
        assert cluster.start().port > taken


def test_the_port_stays_the_same_over_a_restart(cluster: EmbeddedPostgres) -> None:
    with socket.create_server(("127.0.0.1", next(free_ports(FIRST_PORT)))):
        port = cluster.start().port
        cluster.stop()
    assert cluster.start().port == port


def test_stop_ends_every_process_and_may_be_repeated(cluster: EmbeddedPostgres) -> None:
    cluster.start()
    held = psycopg.connect(cluster.url())
    cluster.stop()
    cluster.stop()
    assert not cluster.is_running()
    with pytest.raises(PermanentError, match="flows up"):
        cluster.url()
    held.close()


def test_it_runs_in_a_deep_folder_closed_to_other_users(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    deep = closed.joinpath(*["a-folder-with-a-long-name"] * 8)
    cluster = EmbeddedPostgres(deep, first_port=FIRST_PORT, is_durable=False)
    try:
        assert answer(cluster.start(), "select 1") == 1
    finally:
        cluster.stop()
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


def test_a_cluster_of_another_version_is_refused_with_a_remedy(cluster: EmbeddedPostgres) -> None:
    cluster.start()
    cluster.stop()
    (cluster.cluster / "PG_VERSION").write_text("16\n")
    with pytest.raises(PermanentError, match=r"made by PostgreSQL 16.*flows clean"):
        cluster.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_it_runs_as_an_ordinary_user_too() -> None:
    user = pwd.getpwnam("daemon")
    script = (
        "import os, sys; from pathlib import Path;"
        "from deployments.local.postgres import EmbeddedPostgres;"
        "from deployments.local.programs import program;"
        "program('postgres');"
        f"os.setgroups([]); os.setgid({user.pw_gid}); os.setuid({user.pw_uid});"
        f"cluster = EmbeddedPostgres(Path(sys.argv[1]), first_port={FIRST_PORT});"
        "cluster.start(); print(cluster.is_running()); cluster.stop()"
    )
    with tempfile.TemporaryDirectory(prefix="analytics-flows-user-") as folder:
        os.chown(folder, user.pw_uid, user.pw_gid)
        command = [sys.executable, "-c", script, f"{folder}/postgres"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if "Permission denied" in done.stderr:
        pytest.skip("this clone lies in a folder that only root may enter")
    assert done.stdout.strip() == "True", done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("other", ["nobody", "daemon"])
def test_no_other_user_of_the_machine_reads_its_files_or_ends_it(other: str) -> None:
    user = pwd.getpwnam(other)
    with tempfile.TemporaryDirectory(prefix="analytics-flows-open-") as folder:
        Path(folder).chmod(0o755)
        cluster = EmbeddedPostgres(Path(folder) / "pg", first_port=FIRST_PORT, is_durable=False)
        try:
            with psycopg.connect(cluster.start().url()) as connection:
                connection.execute("create table kept as select 42 as answer")
            cluster.stop()
            # As earlier versions made it, whose server was that user's.
            for path in [cluster.cluster, *cluster.cluster.rglob("*")]:
                os.chown(path, user.pw_uid, user.pw_gid)
            pid = cluster.start().pid
            kept = [str(path) for path in cluster.directory.iterdir()]
            tried = ("find", *kept, "-type", "f", "-readable"), ("kill", "-0", str(pid))
            found, ended = (
                subprocess.run(each, user=other, group=user.pw_gid, capture_output=True)
                for each in tried
            )
            assert (found.stdout, ended.returncode) == (b"", 1)
            assert answer(cluster, "select answer from kept") == 42
        finally:
            cluster.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may always make a namespace of users")
def test_where_few_users_are_known_it_is_run_as_one_that_is() -> None:
    script = "from deployments.local.privilege import server_user; print(server_user().uid)"
    command = ["unshare", "--map-root-user", sys.executable, "-c", script]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == str(pwd.getpwnam("nobody").pw_uid), done.stderr


def test_a_killed_server_leaves_no_process_behind(cluster: EmbeddedPostgres) -> None:
    pid = cluster.start().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not cluster.is_running(), 5.0)
    cluster.stop()
    here = str(cluster.cluster)
    assert [p.pid for p in psutil.process_iter(["cwd"]) if p.info["cwd"] == here] == []
