"""How gunicorn serves, here and everywhere: it reads this file from the folder that it is started in."""

import os

bind = f"0.0.0.0:{os.environ.get('PORT') or 5000}"
workers = int(os.environ.get("WEB_CONCURRENCY") or 2)
threads = 8
timeout = 60
# Longer than a balancer keeps an idle connection (nginx, AWS 60 s; others up to 90 s): where this side ends
# it first, a request that is already on its way meets a closed connection, and the payer gets a 502.
keepalive = 95
control_socket_disable = True
