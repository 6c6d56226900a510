"""Distances between places on a sphere of the Earth's mean radius; off by at most half a per cent."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from retrieval.expressions import Near

EARTH_RADIUS_KM = 6371.0088  # mean radius (IUGG)
ROUNDING_KM = 1e-6  # a millimetre: places are not told apart below it


def distances_km(place: Near, lat: NDArray[np.float64], lon: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute great-circle distances from a place, by the haversine formula; coordinates in degrees."""
    phi, phi_0 = np.radians(lat), math.radians(place.lat)
    half_lat, half_lon = (phi - phi_0) / 2, np.radians(lon - place.lon) / 2
    chord = np.sin(half_lat) ** 2 + math.cos(phi_0) * np.cos(phi) * np.sin(half_lon) ** 2
    distances: NDArray[np.float64] = 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.clip(chord, 0, 1)))
    return distances


def box_around(place: Near) -> tuple[float, float]:
    """Give the southern and the northern latitude between which all places within the distance lie."""
    degrees = math.degrees(place.kilometres / EARTH_RADIUS_KM) + 1e-7  # one centimetre
    return place.lat - degrees, place.lat + degrees
