"""Evidence of one period: everything an auditor asks for in one package that verifies without the platform."""
