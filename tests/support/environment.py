"""The environment of a development service beside a simulator."""

from payments_service.domain.variables import variables_of
from payments_service.gateways import GATEWAYS


def environment(
    *, database_url: str, port: int = 5000, simulator_port: int = 8090, **more: str
) -> dict[str, str]:
    return {
        "APP_ENV": "development",
        "PORT": str(port),
        "DATABASE_URL": database_url,
        "FRONTEND_URL": "http://127.0.0.1:3000",
        "MERCHANT_NAME": "Asha's Courses",
        "ORDER_LIMITS": "off",
        "RAZORPAY_KEY_ID": "rzp_test_simulator",
        "RAZORPAY_KEY_SECRET": "simulator_razorpay_key_secret",
        "RAZORPAY_WEBHOOK_SECRET": "simulator_razorpay_webhook_secret",
        "RAZORPAY_API_URL": f"http://127.0.0.1:{simulator_port}/razorpay",
        "PHONEPE_CLIENT_ID": "SIMULATORUAT",
        "PHONEPE_CLIENT_SECRET": "simulator_phonepe_client_secret",
        "PHONEPE_CLIENT_VERSION": "1",
        "PHONEPE_WEBHOOK_USER": "simulator_hook",
        "PHONEPE_WEBHOOK_PASS": "simulator_Passw0rd1",
        "PHONEPE_WEBHOOK_HMAC_SECRET": "simulator_phonepe_hmac_secret",
        "PHONEPE_API_URL": f"http://127.0.0.1:{simulator_port}/phonepe/apis/pg-sandbox",
        "CASHFREE_APP_ID": "TEST_simulator_app",
        "CASHFREE_APP_SECRET": "simulator_cashfree_app_secret",
        "CASHFREE_API_URL": f"http://127.0.0.1:{simulator_port}/cashfree/pg",
        **more,
    }


def only(gateway_name: str) -> dict[str, str]:
    """Variables that switch every other gateway off."""
    return {
        declared.name: ""
        for gateway in GATEWAYS
        if gateway.name != gateway_name
        for _, declared in variables_of(gateway.config_type)
    }
