"""What those have in common who send over HTTP: through which proxy, and how much of an answer is read."""

from __future__ import annotations

import urllib.request
from typing import TYPE_CHECKING

from kubewitness.config.keys import Options
from kubewitness.errors import UsageError

if TYPE_CHECKING:
    import aiohttp


def proxy_for(what: str, opts: Options, scheme: str, host: str) -> str | None:
    """Key `proxy`, else what the environment says; None for none. UsageError when the key is no address."""
    proxy = opts.text("proxy")
    if proxy and not proxy.startswith("http://"):
        raise UsageError(f"{what}: 'proxy' is not an address such as http://host:port")
    if proxy or opts.flag("net.proxy_env_ignore") or urllib.request.proxy_bypass(host):
        return proxy or None
    return urllib.request.getproxies().get(scheme)


async def limited(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The body, to its limit; what is more is not read."""
    parts = []
    size = 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > most:
            response.close()
            break
    return b"".join(parts)
