from al_assets_tests.support.postgres import ledger_url, postgres_cluster, postgres_url

__all__ = ["ledger_url", "postgres_cluster", "postgres_url"]
