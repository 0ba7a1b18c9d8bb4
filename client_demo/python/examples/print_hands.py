"""Print where the index fingertips are, and how old what is printed is: `python print_hands.py ws://127.0.0.1:8000`."""

from __future__ import annotations

import argparse
import os
import time

from usthand_client import Client, StreamError, StreamOptions


def main() -> None:
    """Print until the end of `--messages` or Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", nargs="?", default="ws://127.0.0.1:8000")
    parser.add_argument("--dialect", default="mano")
    parser.add_argument("--max-hz", type=float, default=10.0)
    parser.add_argument("--messages", type=int, help="stop after so many")
    arguments = parser.parse_args()
    options = StreamOptions(dialect=arguments.dialect, fields=("joints",), max_hz=arguments.max_hz)
    try:
        with Client(arguments.address, options, token=os.environ.get("USTHAND_TOKEN")) as client:
            hello = client.connected()
            clock = client.clock_offset()
            print(f"{hello.dialect}: {hello.units}; {hello.axes}; model {hello.model_id}")
            tips = [number for number, name in enumerate(hello.joint_names) if number not in hello.parents and number]
            index_tip = next((number for number in tips if "index" in hello.joint_names[number].lower()), tips[0])
            for count, message in enumerate(client, 1):
                if message.ended:
                    print("The footage is over.")
                    break
                age_ms = (time.monotonic_ns() - clock.to_client_ns(message.pose_time_ns)) / 1e6
                print(f"#{message.sequence} of {age_ms:.1f} ms ago: {len(message.hands)} hands")
                for hand in message.hands:
                    if hand.joints is not None:
                        x, y, z = hand.joints[index_tip]
                        print(f"  {hand.side} {hand.id}: {hello.joint_names[index_tip]} at {x:.4f} {y:.4f} {z:.4f}")
                if count == arguments.messages:
                    break
    except KeyboardInterrupt:
        pass
    except StreamError as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
