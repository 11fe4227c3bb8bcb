"""The control plane, /_sim: what the customer, the bank, the dashboard and bad luck do next."""

import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict
from typing import Any, cast

from flask import Blueprint, Response, jsonify, make_response, render_template, request
from werkzeug.exceptions import HTTPException, NotFound

from gateway_simulator.base import BadInputError, Gateway, ImpossibleMoveError, Json, Move, OrderView
from gateway_simulator.deliveries import Deliveries, Delivery
from gateway_simulator.faults import API_KINDS, OPERATIONS, WEBHOOK_KINDS, Faults, Storm
from gateway_simulator.world import World

VERBS = (
    "success",
    "failure",
    "pending",
    "expire",
    "authorize",
    "late-success",
    "second-success",
    "dashboard-refund",
    "dispute",
    "collect-cash",
    "late-word",
)
# what a body may say beside the amounts and the method
OPTIONS = {"success": ("offerPaise",), "dispute": ("outcome",), "late-word": ("reads",)}
ALL_KINDS = (*API_KINDS, *WEBHOOK_KINDS)
PAGE_POLICY = "default-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'"
MAX_PAISE = 10**12
MAX_SECONDS = 3600
MAX_ADVANCE_SECONDS = 10 * 365 * 24 * 3600
MAX_PAGE = 10**6
MAX_READS = 1000
# An answer that nothing has changed is not believed for ever: some states change with time alone.
UNCHANGED_SECONDS = 5


class Control:
    def __init__(
        self, world: World, faults: Faults, deliveries: Deliveries, gateways: Mapping[str, Gateway]
    ) -> None:
        self._world = world
        self._faults = faults
        self._deliveries = deliveries
        self._gateways = gateways
        # another process, other versions
        self._process = uuid.uuid4().hex

    def blueprint(self) -> Blueprint:
        blueprint = Blueprint("control", __name__)
        table: tuple[tuple[str, str, Callable[..., Response]], ...] = (
            ("GET", "/", self.overview),
            ("GET", "/_sim/health", self.health),
            ("POST", "/_sim/reset", self.reset),
            ("GET", "/_sim/orders", self.orders),
            ("GET", "/_sim/orders/<order_id>", self.order),
            ("POST", "/_sim/orders/<order_id>/<verb>", self.move),
            ("POST", "/_sim/orders/<order_id>/webhook", self.send_event),
            ("POST", "/_sim/refunds/<refund_id>/<outcome>", self.finish_refund),
            ("POST", "/_sim/settle", self.settle),
            ("GET", "/_sim/faults", self.faults),
            ("POST", "/_sim/faults", self.add_fault),
            ("POST", "/_sim/faults/storm", self.add_storm),
            ("DELETE", "/_sim/faults", self.clear_faults),
            ("GET", "/_sim/deliveries", self.deliveries),
            ("GET", "/_sim/gateways", self.gateways),
            ("POST", "/_sim/clock", self.clock),
            ("GET", "/_sim/settings", self.settings),
            ("POST", "/_sim/settings", self.configure),
        )
        for number, (method, path, view) in enumerate(table):
            blueprint.add_url_rule(path, f"{number}_{view.__name__}", view, methods=[method])
        blueprint.before_request(self._world.ring)
        blueprint.after_request(self._note_change)
        blueprint.register_error_handler(BadInputError, _bad_input)
        blueprint.register_error_handler(ImpossibleMoveError, _impossible_move)
        blueprint.register_error_handler(HTTPException, _http_error)
        return blueprint

    def overview(self) -> Response:
        response = make_response(render_template("overview.html", gateways=self._gateways.values()))
        response.headers["Content-Security-Policy"] = PAGE_POLICY
        return response

    def health(self) -> Response:
        return jsonify(
            status="ok",
            gateways=sorted(self._gateways),
            now=self._world.now(),
            aheadSeconds=self._world.ahead_seconds(),
        )

    def gateways(self) -> Response:
        """What there is to choose from: addresses, credentials, methods, events, settings."""
        return jsonify(
            verbs=VERBS,
            kinds={"api": list(API_KINDS), "webhook": list(WEBHOOK_KINDS)},
            gateways={name: _gateway_json(gateway) for name, gateway in self._gateways.items()},
        )

    def reset(self) -> Response:
        """Forget everything, also faults, settings and waiting webhooks; the webhooks' address stays."""
        body = _body("seed")
        seed = None if body.get("seed") is None else _integer(body, "seed", -MAX_PAISE, MAX_PAISE)
        with self._world.lock:
            self._world.reset(seed)
            self._faults.reset()
            self._deliveries.reset()
            for gateway in self._gateways.values():
                gateway.reset()
        return jsonify(reset=True)

    def orders(self) -> Response:
        """The newest first; `?gateway=`, `?q=` (part of an id or a status), `?limit=`, `?before=` an orderId.

        `next` is the `before` of the next page. With If-None-Match it costs nothing while nothing changes.
        """
        response = Response(status=304)
        version = self._version()
        response.set_etag(version)
        response.cache_control.no_cache = True
        if version in request.if_none_match:
            return response
        limit = _whole(request.args, "limit", 1, MAX_PAGE) if "limit" in request.args else MAX_PAGE
        with self._world.lock:
            found = self._found(request.args.get("gateway"), request.args.get("q", "").strip().lower())
            start = _after(found, request.args.get("before"))
            page = self._orders_json(found[start : start + limit])
        more = len(found) > start + limit
        # Written outside the lock: a long list must not hold up the gateways.
        body = jsonify(orders=page, total=len(found), next=page[-1]["orderId"] if more else None)
        response.status_code, response.content_type = 200, "application/json"
        response.set_data(body.get_data())
        return response

    def order(self, order_id: str) -> Response:
        with self._world.lock:
            return jsonify(self._order_json(order_id))

    def move(self, order_id: str, verb: str) -> Response:
        """Every verb answers with the order as it is afterwards."""
        if verb not in VERBS:
            raise NotFound(f"There is no {verb}: {', '.join(VERBS)}")
        with self._world.lock:
            gateway = self._gateway_of(order_id)
            run = cast("Callable[[str, Move], None]", getattr(gateway, verb.replace("-", "_")))
            run(order_id, _move(gateway, verb))
            return jsonify(self._order_json(order_id))

    def send_event(self, order_id: str) -> Response:
        """`{"type": …}`: a webhook of this type, also of those that no verb leads to."""
        body = _body("type")
        with self._world.lock:
            gateway = self._gateway_of(order_id)
            gateway.send_event(order_id, _choice(body, "type", gateway.event_types))
            return jsonify(self._order_json(order_id))

    def settle(self) -> Response:
        """The bank's transfer of what was captured, which by the clock comes days later."""
        _body()
        with self._world.lock:
            for gateway in self._gateways.values():
                gateway.settle()
        return jsonify(settled=True)

    def finish_refund(self, refund_id: str, outcome: str) -> Response:
        _body()
        if outcome not in ("success", "failure"):
            raise NotFound(f"There is no {outcome}: success, failure")
        with self._world.lock:
            for gateway in self._gateways.values():
                order_id = gateway.order_of_refund(refund_id)
                if order_id is not None:
                    finish = gateway.refund_success if outcome == "success" else gateway.refund_failure
                    finish(refund_id)
                    return jsonify(self._order_json(order_id))
        raise NotFound(f"There is no refund {refund_id}")

    def faults(self) -> Response:
        """What is set, what storms rage, and how often what has happened since the last reset."""
        with self._world.lock:
            return jsonify(
                faults=[asdict(fault) for fault in self._faults.all()],
                storms=[asdict(storm) for storm in self._faults.storms()],
                counts=self._faults.counts(),
            )

    def add_fault(self) -> Response:
        body = _body("gateway", "on", "kind", "count", "seconds")
        gateway = self._gateways[_choice(body, "gateway", tuple(self._gateways))]
        on = _choice(body, "on", (*OPERATIONS, "webhook"))
        kind = str(body.get("kind"))
        count = _integer(body, "count", 1, 1000) if "count" in body else 1
        seconds = _number(body, "seconds", 0, MAX_SECONDS) if "seconds" in body else None
        response = jsonify(asdict(self._faults.add(gateway, on, kind, count, seconds)))
        response.status_code = 201
        return response

    def add_storm(self) -> Response:
        """`{"seed": 7, "rate": 0.2}`: each call and each webhook meets a fault with this probability."""
        body = _body("seed", "rate", "kinds", "gateways", "on", "seconds")
        storm = Storm(
            seed=_integer(body, "seed", -MAX_PAISE, MAX_PAISE) if "seed" in body else 0,
            rate=_number(body, "rate", 0, 1),
            kinds=_choices(body, "kinds", ALL_KINDS),
            gateways=_choices(body, "gateways", tuple(self._gateways)),
            on=_choices(body, "on", (*OPERATIONS, "webhook")),
            seconds=_number(body, "seconds", 0, MAX_SECONDS) if "seconds" in body else None,
        )
        self._faults.add_storm(storm)
        response = jsonify(asdict(storm))
        response.status_code = 201
        return response

    def clear_faults(self) -> Response:
        self._faults.clear()
        return self.faults()

    def deliveries(self) -> Response:
        """`?wait=seconds` (real time) first waits until nothing is being sent or due; `?orderId=` narrows."""
        order_id = request.args.get("orderId")
        if "wait" in request.args:
            self._deliveries.wait_until_idle(_number(request.args, "wait", 0, 60), order_id)
        with self._world.lock:
            chosen = self._deliveries.all() if order_id is None else self._deliveries.of_order(order_id)
            tries = [
                _try_json(delivery, number) for delivery in chosen for number in range(len(delivery.tries))
            ]
            events = [_event_json(delivery) for delivery in chosen]
        tries.sort(key=lambda one: cast("float", one["sentAt"]))
        return jsonify(deliveries=tries, events=events)

    def clock(self) -> Response:
        """`{"advance_seconds": 86400}`; what is due in between happens, each thing at its moment."""
        body = _body("advance_seconds")
        self._world.advance(_number(body, "advance_seconds", 0, MAX_ADVANCE_SECONDS))
        self._deliveries.clock_moved()
        return jsonify(now=self._world.now())

    def settings(self) -> Response:
        with self._world.lock:
            settings = {name: gateway.settings() for name, gateway in self._gateways.items()}
            return jsonify(webhooks=self._deliveries.webhooks, **settings, choices=self._choices_json())

    def configure(self) -> Response:
        """`{"webhooks": "http://…", "razorpay": {…}}`; reset puts the gateways' own settings back."""
        body = _body("webhooks", *self._gateways)
        webhooks = body.pop("webhooks", self._deliveries.webhooks)
        if not isinstance(webhooks, str) or not webhooks.startswith(("http://", "https://")):
            raise BadInputError("webhooks", "must be an http or https address")
        with self._world.lock:
            for name, changes in body.items():
                if not isinstance(changes, dict):
                    raise BadInputError(name, "must be an object")
                self._gateways[name].configure(changes)
            self._deliveries.webhooks = webhooks.rstrip("/")
        return self.settings()

    def _choices_json(self) -> Json:
        return {
            name: {setting: _choice_json(allowed) for setting, allowed in gateway.choices.items()}
            for name, gateway in self._gateways.items()
        }

    def _note_change(self, response: Response) -> Response:
        if request.method != "GET":
            self._world.touch()
        return response

    def _version(self) -> str:
        return f"{self._process}-{self._world.changes}-{int(self._world.now() / UNCHANGED_SECONDS)}"

    def _found(self, gateway_name: str | None, text: str) -> list[OrderView]:
        gateways = [g for g in self._gateways.values() if gateway_name in (None, "", g.name)]
        found = [order for gateway in gateways for order in gateway.orders() if _mentions(order, text)]
        found.sort(key=lambda order: order.createdAt, reverse=True)
        return found

    def _gateway_of(self, order_id: str) -> Gateway:
        for gateway in self._gateways.values():
            if gateway.order(order_id) is not None:
                return gateway
        raise NotFound(f"There is no order {order_id}")

    def _order_json(self, order_id: str) -> Json:
        order = self._gateway_of(order_id).order(order_id)
        return self._orders_json([order] if order else [])[0]

    def _orders_json(self, orders: Iterable[OrderView]) -> list[Json]:
        return [
            {
                **_view_json(order),
                "wireId": order.reference if self._gateways[order.gateway].names_orders else order.orderId,
                "webhooks": [_event_json(one) for one in self._deliveries.of_order(order.orderId)],
            }
            for order in orders
        ]


def _view_json(view: Any) -> Json:
    """As dataclasses.asdict, which takes ten times as long."""
    return {
        name: [_view_json(one) for one in value] if isinstance(value, list) else value
        for name, value in vars(view).items()
    }


def _mentions(order: OrderView, text: str) -> bool:
    if not text:
        return True
    words: list[str | None] = [order.orderId, order.reference, order.status]
    words += [attempt.paymentId for attempt in order.attempts] + [refund.refundId for refund in order.refunds]
    return any(text in word.lower() for word in words if word)


def _after(orders: list[OrderView], order_id: str | None) -> int:
    if order_id is None:
        return 0
    for number, order in enumerate(orders):
        if order.orderId == order_id:
            return number + 1
    raise BadInputError("before", "must be the orderId of an order on the list")


def _gateway_json(gateway: Gateway) -> Json:
    return {
        "apiBase": gateway.api_base,
        "credentials": dict(gateway.credentials),
        "operations": [on for on in OPERATIONS if on in gateway.operations],
        "methods": sorted(gateway.methods),
        "disputeOutcomes": list(gateway.dispute_outcomes),
        "eventTypes": list(gateway.event_types),
    }


def _choice_json(allowed: Collection[Any]) -> Any:
    if isinstance(allowed, range):
        return {"from": allowed[0], "to": allowed[-1]}
    return list(allowed)


def _try_json(delivery: Delivery, index: int) -> Json:
    message, one = delivery.message, delivery.tries[index]
    return {
        "eventId": message.event_id,
        "event": message.event,
        "gateway": message.gateway,
        "orderId": message.order_id,
        "try": one.number,
        "sentAt": one.sent_at,
        "url": one.url,
        "headers": dict(one.headers),
        "body": message.body.decode(),
        "status": one.status,
        "answer": one.answer,
        "error": one.error,
    }


def _event_json(delivery: Delivery) -> Json:
    last = delivery.tries[-1] if delivery.tries else None
    return {
        "eventId": delivery.message.event_id,
        "event": delivery.message.event,
        "gateway": delivery.message.gateway,
        "orderId": delivery.message.order_id,
        "state": delivery.state,
        "fault": delivery.fault,
        "tries": len(delivery.tries),
        "lastStatus": last.status if last else None,
        "lastError": last.error if last else None,
        "createdAt": delivery.created_at,
        "nextTryAt": delivery.due_at if delivery.state == "waiting" else None,
    }


def _move(gateway: Gateway, verb: str) -> Move:
    body = _body("amountPaise", "orderAmountPaise", "method", *OPTIONS.get(verb, ()))
    return Move(
        amount_paise=_integer(body, "amountPaise", 1, MAX_PAISE) if "amountPaise" in body else None,
        order_amount_paise=_integer(body, "orderAmountPaise", 1, MAX_PAISE)
        if "orderAmountPaise" in body
        else None,
        method=_choice(body, "method", tuple(sorted(gateway.methods))) if "method" in body else None,
        outcome=_choice(body, "outcome", gateway.dispute_outcomes) if "outcome" in body else None,
        offer_paise=_integer(body, "offerPaise", 1, MAX_PAISE) if "offerPaise" in body else None,
        reads=_integer(body, "reads", 1, MAX_READS) if "reads" in body else None,
    )


def _body(*known: str) -> Json:
    """The JSON body; an absent one is empty, and an unknown field is an error."""
    if not request.get_data():
        return {}
    body = request.get_json(force=True, silent=True)
    if not isinstance(body, dict):
        raise BadInputError("body", "must be a JSON object")
    for field in body:
        if field not in known:
            raise BadInputError(field, f"is not known here: {', '.join(known) or 'no field is'}")
    return body


def _integer(body: Mapping[str, Any], field: str, least: int, most: int) -> int:
    value = body[field]
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise BadInputError(field, f"must be an integer from {least} to {most}")
    return value


def _number(body: Mapping[str, Any], field: str, least: float, most: float) -> float:
    try:
        value = float("nan" if isinstance(body.get(field), bool) else body.get(field, "nan"))
    except (TypeError, ValueError):
        value = float("nan")
    if not least <= value <= most:
        raise BadInputError(field, f"must be a number from {least} to {most}")
    return value


def _whole(arguments: Mapping[str, str], field: str, least: int, most: int) -> int:
    text = arguments[field]
    return _integer({field: int(text) if text.isascii() and text.isdigit() else None}, field, least, most)


def _choices(body: Mapping[str, Any], field: str, choices: tuple[str, ...]) -> tuple[str, ...]:
    """Some of the choices; all of them when none is named."""
    chosen = body.get(field, list(choices))
    if not isinstance(chosen, list) or not chosen or any(one not in choices for one in chosen):
        raise BadInputError(field, f"must be a list of some of {', '.join(choices)}")
    return tuple(one for one in choices if one in chosen)


def _choice(body: Mapping[str, Any], field: str, choices: tuple[str, ...]) -> str:
    value = body.get(field)
    if value not in choices:
        raise BadInputError(field, f"must be one of {', '.join(choices)}")
    return str(value)


def _bad_input(error: BadInputError) -> tuple[Response, int]:
    return jsonify(error=f"{error.field_name}: {error}", field=error.field_name), 400


def _impossible_move(error: ImpossibleMoveError) -> tuple[Response, int]:
    return jsonify(error=str(error)), 409


def _http_error(error: HTTPException) -> tuple[Response, int]:
    return jsonify(error=error.description), error.code or 500
