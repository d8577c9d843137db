kube.shop.web-1.app: [1795382709.200000000, {"time":"2026-11-22T21:25:09.200000000Z","stream":"stderr","_p":"F","log":"in between"}]
kube.shop.web-1.app: [1795382709.300000000, {"time":"2026-11-22T21:25:09.100000000Z","stream":"stdout","_p":"P","log":"the first part, the second"}]
