"""Serve the app, the HTTP interface or both to others.

The page is Voila, and takes all its options as well (--help-all lists them). The interface is off
unless it is asked for; docs/api.md says what it answers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from src import console
from src.inference.export_file import EXPORT

if TYPE_CHECKING:
    from src.api.service import Settings

PORT = 8866


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status: 0 when it was stopped, 1 where it could not start, 2 wrong usage."""
    parser = _parser()
    args, others = parser.parse_known_args(argv)
    if args.api_only and (others or args.visitors is not None):
        parser.error(f"--api-only has no page; leave out {' '.join(others) or '--visitors'}")
    if (args.token_file or args.allow_host) and not (args.api or args.api_only):
        parser.error("--token-file and --allow-host are for the interface; add --api or --api-only")
    try:
        if args.own:
            _check_own(args.own, args.export or EXPORT)
        settings = _settings(args) if args.api or args.api_only else None
        if settings and args.api_only:
            _serve_api(args, settings)
            return 0
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    _serve_page(args, others, settings)
    return 0


def _serve_api(args: argparse.Namespace, settings: Settings) -> None:
    from src.api.alone import serve  # here, as --help need not wait for it

    ip = "localhost" if args.ip is None else args.ip
    serve(args.export or EXPORT, ip, PORT if args.port is None else args.port, settings)


def _serve_page(args: argparse.Namespace, others: list[str], settings: Settings | None) -> None:
    """Serve by Voila, which gets the options that are its own."""
    from src.app.host import Host  # here, as Voila takes a while

    for option in ("visitors", "export", "own", "port"):
        value = getattr(args, option)
        others += [] if value is None else [f"--{option}={value}"]
    others += [] if args.ip is None else [f"--Voila.ip={args.ip}"]
    Host.launch_instance(others, api=settings)


def _settings(args: argparse.Namespace) -> Settings:
    from src.api.access import read_token
    from src.api.service import Settings

    return Settings(read_token(args.token_file), args.rate, tuple(args.allow_host), args.own)


def _check_own(own: Path, export: Path) -> None:
    """Raise ValueError, before anything is served, where these own landmarks do not fit the export."""
    from src.inference.export_file import read_export
    from src.inference.own_file import load_own

    load_own(own, read_export(export).info.get("own_space", ""))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m src.host",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--export", type=Path, metavar="FILE", help="the exported model (the transfer one)")
    parser.add_argument(
        "--own", type=Path, metavar="FILE", help="landmarks of your own, made by python -m src.teach"
    )
    parser.add_argument("--visitors", type=int, metavar="N", help="people on the page at once (20)")
    parser.add_argument("--port", type=int, metavar="N", help=f"({PORT})")
    parser.add_argument("--ip", "--Voila.ip", help="address to listen at (localhost); 0.0.0.0 for all")
    api = parser.add_argument_group("interface")
    which = api.add_mutually_exclusive_group()
    which.add_argument("--api", action="store_true", help="answer under /api/v1/ beside the page")
    which.add_argument("--api-only", action="store_true", help="answer there, without a page")
    api.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="what clients have to send; else $LANDMARK_API_TOKEN; without either, for this machine only",
    )
    api.add_argument(
        "--rate", type=_rate, default=3000, metavar="N", help="photos a minute for each address (3000)"
    )
    api.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="fetch images by https from this host (NAME or NAME:PORT); may be repeated",
    )
    return parser


def _rate(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return int(text)


if __name__ == "__main__":
    console.run(main)
