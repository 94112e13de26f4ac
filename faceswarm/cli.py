"""The commands and their options. What a command needs is imported when it runs, so that --help comes at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from faceswarm.exits import CommandError, Exit

if TYPE_CHECKING:
    from common.config import Config
    from master.store import Store

FileArgument = click.Path(path_type=Path)


class _Commands(click.Group):
    """Turns what went wrong into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.ClickException, click.Abort):
            raise
        except CommandError as error:
            _end(error.exit_code, str(error))
        except BrokenPipeError:
            # Whoever read our output has had enough, as `head` does.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(Exit.OK)
        except Exception as error:
            exit_code = _known(error)
            if exit_code is not None:
                _end(exit_code, str(error))
            if os.environ.get("FACESWARM_DEBUG"):
                raise
            _end(
                Exit.INTERNAL,
                f"A fault in faceswarm: {type(error).__name__}: {error}. What was stored is kept. "
                "Run again with FACESWARM_DEBUG=1 for the details to report.",
            )


def _known(error: Exception) -> Exit | None:
    from common.config import ConfigError
    from master.store import StoreBusy, StoreError
    from worker.engines.convert import ModelError
    from worker.slots import WorkerError

    exits: list[tuple[type[Exception], Exit]] = [
        (ConfigError, Exit.USAGE),
        (StoreBusy, Exit.BUSY),
        (StoreError, Exit.DATABASE),
        (ModelError, Exit.ENGINE),
        (WorkerError, Exit.ENGINE),
    ]
    return next((exit_code for kind, exit_code in exits if isinstance(error, kind)), None)


def _end(exit_code: Exit, message: str) -> None:
    click.echo(f"faceswarm: {message}", err=True)
    sys.exit(exit_code)


def main() -> None:
    """The program."""
    cli(prog_name="faceswarm")


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="faceswarm", message="%(prog)s %(version)s")
@click.option("--config", type=FileArgument, envvar="FACESWARM_CONFIG", help="A config.ini; without one, defaults.")
@click.pass_context
def cli(ctx: click.Context, config: Path | None) -> None:
    """Finds the faces in a folder of photos. Nothing leaves this computer.

    Example: faceswarm index ~/Pictures
    """
    ctx.obj = config


def _config(ctx: click.Context) -> Config:
    from common.config import load

    return load(ctx.obj)


db_option = click.option(
    "--db", type=FileArgument, help="The database file; by default in your data folder, see `faceswarm doctor`."
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON value a line, for programs.")


def _database(config: Config, db: Path | None) -> Path:
    import platformdirs

    return db or config.store.database or platformdirs.user_data_path("faceswarm") / "faceswarm.db"


def _open_store(ctx: click.Context, db: Path | None) -> Store:
    """The swarm's database if one is configured and --db names no file, else the file."""
    config = _config(ctx)
    if config.mongo.uri and not db:
        from master.store.mongo import MongoStore

        return MongoStore(config.mongo.uri, config.mongo.image_db)
    from master.store.sqlite import SqliteStore

    file = _database(config, db)
    if not file.exists():
        raise CommandError(Exit.DATABASE, f"There is no database {file} yet. `faceswarm index FOLDER` makes it.")
    return SqliteStore(file)


def _crops_folder(config: Config, database: Path) -> Path:
    return config.main.cropped_faces_path or database.with_name(database.stem + "-crops")


def _places(config: Config, db: Path | None) -> tuple[str, Path]:
    """Where the database is, without its password, and where the crops are."""
    from common.config import masked

    database = _database(config, db)
    swarm = config.mongo.uri and not db
    return masked(config.mongo.uri or "") if swarm else str(database), _crops_folder(config, database)


@cli.command()
@click.argument("root", type=FileArgument, required=False)
@db_option
@click.option("--jobs", type=click.IntRange(1, 256), help="Photos at a time; by default one for each core.")
@click.pass_context
def index(ctx: click.Context, root: Path | None, db: Path | None, jobs: int | None) -> None:
    """Find every photo below ROOT and the faces in it.

    Run it again at any time: only what is new or changed is done. Ctrl-C stops it; nothing done is lost.
    ROOT may be left out when config.ini names it (RootPathForScanning).

    Example: faceswarm index ~/Pictures --jobs 2
    """
    from faceswarm.index import index_folder

    config = _config(ctx)
    root = root or config.main.root_path_for_scanning
    if root is None:
        raise click.UsageError("Which folder? Name it, as in: faceswarm index ~/Pictures")
    database = _database(config, db)
    ctx.exit(index_folder(root, database, _crops_folder(config, database), jobs, config))


@cli.command()
@click.argument("photos", type=FileArgument, nargs=-1, required=True, metavar="PHOTO...")
@json_option
@click.option("--draw", type=FileArgument, metavar="DIR", help="Write copies with boxes on the faces into this folder.")
@click.pass_context
def inspect(ctx: click.Context, photos: tuple[Path, ...], as_json: bool, draw: Path | None) -> None:
    """Find the faces in single photos, without a database.

    Example: faceswarm inspect party.jpg --json --draw /tmp/boxes
    """
    from faceswarm.inspect import inspect_photos

    ctx.exit(inspect_photos(photos, as_json, draw, _config(ctx)))


@cli.command()
@db_option
@json_option
@click.pass_context
def faces(ctx: click.Context, db: Path | None, as_json: bool) -> None:
    """List every stored face.

    Example: faceswarm faces --json | head
    """
    from faceswarm.listings import list_faces

    list_faces(_open_store(ctx, db), as_json)


@cli.command()
@db_option
@json_option
@click.pass_context
def failures(ctx: click.Context, db: Path | None, as_json: bool) -> None:
    """List the photos that failed, with the reason and what to do.

    Example: faceswarm failures
    """
    from faceswarm.listings import list_failures

    list_failures(_open_store(ctx, db), as_json)


@cli.command()
@db_option
@json_option
@click.pass_context
def status(ctx: click.Context, db: Path | None, as_json: bool) -> None:
    """Show what is known, done and to do.

    Example: faceswarm status
    """
    from faceswarm.listings import show_status

    show_status(_open_store(ctx, db), *_places(_config(ctx), db), as_json)


@cli.command()
@click.argument("folder", type=FileArgument, metavar="DIR")
@db_option
@click.pass_context
def report(ctx: click.Context, folder: Path, db: Path | None) -> None:
    """Write pages with every face, photo by photo, to look at in a browser.

    Example: faceswarm report /tmp/faces
    """
    from faceswarm.report import write_report

    _, crops = _places(_config(ctx), db)
    click.echo(f"Open {write_report(_open_store(ctx, db), crops, folder)} in a browser.")


@cli.command()
@db_option
@json_option
@click.pass_context
def doctor(ctx: click.Context, db: Path | None, as_json: bool) -> None:
    """Check that everything that faceswarm needs is there.

    Example: faceswarm doctor
    """
    from faceswarm.doctor import examine

    config = _config(ctx)
    database = _database(config, db)
    ctx.exit(examine(database, _crops_folder(config, database), as_json))


health_option = click.option(
    "--health",
    type=FileArgument,
    metavar="FILE",
    help="A small file to be written every second, for `faceswarm health`.",
)
log_option = click.option("--json-logs", is_flag=True, help="Write logs as JSON lines.")


@cli.command()
@health_option
@log_option
@click.pass_context
def master(ctx: click.Context, health: Path | None, json_logs: bool) -> None:
    """Scan the photo root and deal its photos to the workers of a swarm, until stopped.

    Example: faceswarm --config config.ini master
    """
    from faceswarm.logs import set_up
    from faceswarm.master import run_master

    set_up(json_logs)
    ctx.exit(run_master(_config(ctx), health))


@cli.command()
@click.option("--name", help="By which the master remembers this worker's speed; by default the computer's name.")
@click.option("--slots", type=click.IntRange(1, 256), help="Photos at a time; by default one for each core.")
@health_option
@log_option
@click.pass_context
def worker(ctx: click.Context, name: str | None, slots: int | None, health: Path | None, json_logs: bool) -> None:
    """Search photos for the master of a swarm, until stopped.

    Example: faceswarm --config config.ini worker --slots 2
    """
    from faceswarm.logs import set_up
    from faceswarm.worker import run_worker

    set_up(json_logs)
    ctx.exit(run_worker(_config(ctx), name, slots, health))


@cli.command()
@click.argument("name", required=False)
@click.option("--pause/--resume", default=None, help="Give it no jobs, or jobs again.")
@click.option("--drain", is_flag=True, help="Let it finish what it has, then end.")
@click.option("--hours", help='Give it jobs only within these hours of its day: "22-7"; "always" for all.')
@click.option("--max-load", type=float, help="Give it no jobs above this load of its computer, per core; 0 for any.")
@json_option
@click.pass_context
def workers(
    ctx: click.Context,
    name: str | None,
    pause: bool | None,
    drain: bool,
    hours: str | None,
    max_load: float | None,
    as_json: bool,
) -> None:
    """Show the workers of a swarm, or set how polite one is to be.

    Example: faceswarm workers old-laptop --hours 22-7
    """
    from faceswarm.workers import list_workers, set_manners

    store = _open_store(ctx, None)
    if name is None:
        list_workers(store, as_json)
    else:
        set_manners(store, name, pause, drain, hours, max_load)


@cli.command()
@click.argument("file", type=FileArgument)
@click.pass_context
def health(ctx: click.Context, file: Path) -> None:
    """Check that a master or worker lives, by the file that it was told to write.

    Example: faceswarm health /tmp/worker.health
    """
    from faceswarm.health import check

    exit_code, message = check(file)
    click.echo(message, err=exit_code != Exit.OK)
    ctx.exit(exit_code)


@cli.command()
@click.argument("action", type=click.Choice(["show", "check"]))
@click.pass_context
def config(ctx: click.Context, action: str) -> None:
    """Show the configuration as it is in force, without passwords, or only check it.

    Example: faceswarm --config config.ini config show
    """
    from common.config import keys, masked

    loaded = _config(ctx)
    for section, key, variable in keys() if action == "show" else []:
        values = getattr(loaded, section).model_dump(by_alias=True)
        click.echo(
            f"[{section}] {key} = {masked(str(values[key] if values[key] not in (None, ()) else ''))}   {variable}"
        )
    if action == "check":
        click.echo("The configuration is right.")
