"""Record joints to a CSV file, and the raw stream too if asked: `python record_csv.py hands.csv ws://127.0.0.1:8000`."""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
from pathlib import Path

from usthand_client import Client, PacketWriter, StreamError, StreamOptions

COLUMNS = ("exposure_ns", "sequence", "hand_id", "side", "confidence", "joint", "x", "y", "z", "qx", "qy", "qz", "qw")


def main() -> None:
    """Record until the end of the footage, of `--messages`, or Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("address", nargs="?", default="ws://127.0.0.1:8000")
    parser.add_argument("--dialect", default="mano")
    parser.add_argument("--messages", type=int, help="stop after so many")
    parser.add_argument("--packets", type=Path, help="also keep the stream as it came, for usthand_client.read_packets")
    arguments = parser.parse_args()
    options = StreamOptions(dialect=arguments.dialect, fields=("joints",))
    with contextlib.ExitStack() as stack:
        on_packet = stack.enter_context(PacketWriter(arguments.packets)).write if arguments.packets else None
        table = csv.writer(stack.enter_context(arguments.out.open("w", newline="", encoding="utf-8")))
        table.writerow(COLUMNS)
        rows = 0
        try:
            # Every message counts here, so none may be replaced by a newer one.
            client = stack.enter_context(
                Client(
                    arguments.address,
                    options,
                    token=os.environ.get("USTHAND_TOKEN"),
                    newest=False,
                    on_packet=on_packet,
                )
            )
            names = client.connected().joint_names
            for count, message in enumerate(client, 1):
                for hand in message.hands:
                    if hand.joints is None or hand.orientations_xyzw is None:
                        continue
                    head = (message.stamps.exposure_ns, message.sequence, hand.id, hand.side, hand.confidence)
                    table.writerows(
                        (*head, name, *map(float, point), *map(float, turn))
                        for name, point, turn in zip(names, hand.joints, hand.orientations_xyzw, strict=True)
                    )
                    rows += len(names)
                if message.ended or count == arguments.messages:
                    break
        except KeyboardInterrupt:
            pass
        except StreamError as error:
            parser.exit(1, f"{error}\n")
    print(f"{arguments.out}: {rows} rows")


if __name__ == "__main__":
    main()
