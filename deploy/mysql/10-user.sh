# Makes the service's database user, with the privileges of docs/guides/mysql.md and no more. The image's entrypoint
# sources this once, when it makes its data folder; MYSQL_USER of the image itself would get every privilege there is.
docker_process_sql --database=mysql <<- SQL
	CREATE USER techaura@'%' IDENTIFIED BY '${TECHAURA_MYSQL_PASSWORD:?}';
	GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, REFERENCES, CREATE TEMPORARY TABLES
	  ON techaura.* TO techaura@'%';
SQL
