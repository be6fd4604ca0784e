"""What a :class:`~gradwire.torch.CompressionState` does: as a dict, and in words."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from gradwire.exchange.averaging import Averager
from gradwire.exchange.tuner import CHOSEN, COMPRESSED, PLAIN, Tuner

Report = dict[str, Any]

_LOG = logging.getLogger("gradwire")

MEASURING = "measuring"
CHOSEN_BY_TIME = "chosen by time"
_MOST_LINES = 12  # of buckets in a summary


def report_setup(averager: Averager) -> Report:
    """What does not change."""
    compressor = averager.compressor
    return {
        "ranks": averager.exchange.world_size,
        "algorithm": averager.algorithm,
        "pipeline": repr(compressor.pipeline),
        "codec": compressor.codec.key,
        "memory": repr(compressor.memory),
    }


def report_traffic(averager: Averager, plain: int) -> Report:
    """Bytes and seconds so far; ``plain`` are the bytes sent without compression."""
    traffic = averager.traffic
    raw, sent = traffic.bytes_raw, traffic.bytes_sent
    return {
        "raw_bytes": raw + plain,
        "sent_bytes": sent + plain,
        "ratio": (raw + plain) / (sent + plain) if sent + plain else None,
        "compressed_raw_bytes": raw,
        "compressed_sent_bytes": sent,
        "compressed_ratio": raw / sent if sent else None,
        "compress_seconds": traffic.compress,
        "exchange_seconds": traffic.exchange,
        "decompress_seconds": traffic.decompress,
    }


def report_choices(
    tuner: Tuner, sizes: Mapping[int, int], always_plain: Mapping[int, str], settled: str | None
) -> Report:
    """How far measuring is, how each bucket is sent, and the times that decided.

    Args:
        tuner: chooses among the buckets.
        sizes: elements of each bucket, by index.
        always_plain: why some are never compressed, by index.
        settled: why nothing is measured; None if the tuner measures.
    """
    measured, planned = tuner.progress() or (None, None)
    phase = settled or (CHOSEN_BY_TIME if measured is None else MEASURING)
    seconds = tuner.step_seconds
    buckets = []
    for index, count in sizes.items():
        compresses = index not in always_plain and (settled or tuner.compresses(index))
        plain, compressed = tuner.bucket_seconds.get(index, (None, None))
        buckets.append(
            {
                "index": index,
                "elements": count,
                "sent": COMPRESSED if compresses else PLAIN,
                "reason": always_plain.get(index, phase),
                "plain_seconds": plain,
                "compressed_seconds": compressed,
            }
        )
    return {
        "phase": phase,
        "measured_steps": measured,
        "planned_steps": planned,
        "plain_step_seconds": seconds.get(PLAIN),
        "compressed_step_seconds": seconds.get(CHOSEN, seconds.get(COMPRESSED)),
        "buckets": buckets,
    }


def in_words(report: Report) -> str:
    """A report as a few lines of text."""
    lines = [
        "{steps} steps on {ranks} ranks: {algorithm}, {pipeline}, {codec}, {memory}".format(
            **report
        ),
        _phase(report),
        *_buckets(report["buckets"]),
        f"compressed buckets: {_less(report, 'compressed_')}; all: {_less(report, '')}",
        "compressing {compress_seconds:.3f} s, exchanging {exchange_seconds:.3f} s, "
        "decompressing {decompress_seconds:.3f} s".format(**report),
    ]
    if report["saturated"]:
        lines.append(
            f"{report['saturated']} averaged elements were too large for their dtype and became "
            "its largest number"
        )
    return "\n".join(lines)


def log_choice(report: Report) -> None:
    """Logs what the measurements have led to; a warning if nothing is compressed."""
    measured = [bucket for bucket in report["buckets"] if bucket["plain_seconds"] is not None]
    if any(bucket["sent"] == COMPRESSED for bucket in measured):
        _LOG.info("gradwire compresses from step %d on:\n%s", report["steps"], in_words(report))
    else:
        _LOG.warning(
            "gradwire sends all buckets uncompressed from step %d on: %s, which is no sure gain; "
            "fallback=False compresses them nevertheless",
            report["steps"],
            _comparison(report),
        )


def _comparison(report: Report) -> str:
    plain, compressed = report["plain_step_seconds"], report["compressed_step_seconds"]
    return f"compressed steps took {1e3 * compressed:.1f} ms, plain ones {1e3 * plain:.1f} ms"


def _phase(report: Report) -> str:
    if report["phase"] == MEASURING:
        return f"measuring: step {report['measured_steps']} of about {report['planned_steps']}"
    return (
        f"chosen: {_comparison(report)}" if report["phase"] == CHOSEN_BY_TIME else report["phase"]
    )


def _less(report: Report, which: str) -> str:
    raw, sent = report[f"{which}raw_bytes"], report[f"{which}sent_bytes"]
    if not sent:
        return "nothing sent"
    return f"{sent / 1e6:.2f} MB sent instead of {raw / 1e6:.2f} MB, {raw / sent:.1f} times less"


def _buckets(buckets: list[Report]) -> list[str]:
    if len(buckets) > _MOST_LINES:
        compressed = sum(bucket["sent"] == COMPRESSED for bucket in buckets)
        return [f"{len(buckets)} buckets: {compressed} compressed; report() lists all"]
    return [_bucket(bucket) for bucket in buckets]


def _bucket(bucket: Report) -> str:
    reason = bucket["reason"]
    if reason == CHOSEN_BY_TIME and bucket["plain_seconds"] is not None:
        compressed, plain = 1e3 * bucket["compressed_seconds"], 1e3 * bucket["plain_seconds"]
        reason = f"compressed {compressed:.1f} ms, plain {plain:.1f} ms"
    return f"bucket {bucket['index']} {bucket['sent']} ({bucket['elements']} elements): {reason}"
