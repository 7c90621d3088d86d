"""In: a game's name, however it is spelled. Out: the name of its ROM. It needs no TensorFlow."""

import difflib
import re

from ale_py import roms

from agents.errors import UserError

# ALE ends the whole process when one of these is loaded for a single player.
_TWO_PLAYER_ROMS = {"combat", "joust", "maze_craze", "warlords"}
_ROMS = {name.replace("_", ""): name for name in roms.get_all_rom_ids()}
_GYM_SUFFIX = re.compile(r"(NoFrameskip|Deterministic)?-v\d+$")


def rom_name(game: str) -> str:
    """The ALE name (`space_invaders`) of a game, however it is spelled.

    Takes ALE's and Gymnasium's spellings: `space_invaders`, `SpaceInvaders`,
    `ALE/SpaceInvaders-v5`, `SpaceInvadersNoFrameskip-v4`. Only the game is read from them: a
    frame skip or stickiness that such a name stands for elsewhere is not taken over.

    Raises:
      UserError: no ROM has this name (the message has the closest one), or it needs two players.
    """
    key = _GYM_SUFFIX.sub("", game.removeprefix("ALE/")).replace("_", "").lower()
    if key not in _ROMS:
        closest = difflib.get_close_matches(key, _ROMS, n=1, cutoff=0.0)[0]
        raise UserError(f"unknown game {game!r}: did you mean {_ROMS[closest]!r}?")
    if _ROMS[key] in _TWO_PLAYER_ROMS:
        raise UserError(f"{_ROMS[key]!r} needs two players: choose another game")
    return _ROMS[key]
